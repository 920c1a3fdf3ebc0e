# Plays systemd's part for one service: hands it listening sockets, takes its messages, passes signals on to it.
#
#   perl service-manager.pl FOLDER SOCKETS WATCHDOG COMMAND…
#
# SOCKETS TCP sockets on 127.0.0.1 become descriptors 3 and up of the command; each message goes to standard output, a
# line an assignment, after the line "PORTS p…". Ends with the command's exit code. WATCHDOG is in microseconds, 0 for none.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(dup2 WNOHANG);
use Socket qw(SOCK_DGRAM);

$| = 1;
# Descriptors up to this one survive exec.
$^F = 40;
my ($folder, $count, $watchdog, @command) = @ARGV;
my $path = "$folder/notify";
my $messages = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "$path: $!";
my @sockets = map { IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die "socket: $!" } 1 .. $count;
print "PORTS @{[map { $_->sockport } @sockets]}\n";

my $child = fork;
die "fork: $!" unless defined $child;
if ($child == 0) {
  # First out of the way, so that no descriptor is overwritten before it was copied.
  for my $i (0 .. $#sockets) { dup2(fileno($sockets[$i]), 20 + $i) or die "dup2: $!" }
  for my $i (0 .. $#sockets) { dup2(20 + $i, 3 + $i) or die "dup2: $!"; POSIX::close(20 + $i) }
  for my $fd (3 + $count .. 19) { POSIX::close($fd) }
  if ($count > 0) { $ENV{LISTEN_FDS} = $count; $ENV{LISTEN_PID} = $$ }
  if ($watchdog > 0) { $ENV{WATCHDOG_USEC} = $watchdog; $ENV{WATCHDOG_PID} = $$ }
  $ENV{NOTIFY_SOCKET} = $path;
  exec @command or die "exec: $!";
}

$SIG{$_} = do { my $name = $_; sub { kill $name, $child } } for qw(TERM INT);
my $select = IO::Select->new($messages);
my $ended;
until ($ended) {
  $ended = waitpid($child, WNOHANG) == $child;
  my $status = $?;
  while ($select->can_read($ended ? 0 : 0.05)) {
    last unless defined $messages->recv(my $message, 4096);
    print "$message\n";
  }
  exit($status & 127 ? 128 + ($status & 127) : $status >> 8) if $ended;
}
