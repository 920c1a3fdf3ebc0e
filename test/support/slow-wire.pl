#!/usr/bin/perl
# A network cable with a delay and with loss, for kernels without netem: makes two TAP devices, and carries what is sent on one to
# the other. Usage: slow-wire.pl DEVICE DEVICE MILLISECONDS LOSS, where the delay is of one direction and the loss a part
# of 1. Says "ready" once both devices are there, and ends with standard input.
#
# Time::HiRes comes with the perl that git depends on.
use strict;
use warnings;
use Fcntl qw(O_RDWR O_NONBLOCK);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use constant {
  TUNSETIFF => 0x400454ca,
  IFF_TAP   => 0x0002,
  IFF_NO_PI => 0x1000,
  # Frames that are under way in one direction; a real queue drops what comes on top as well.
  QUEUE     => 4096,
  MAX_FRAME => 65_536,
};

my ($first, $second, $milliseconds, $loss) = @ARGV;
my @devices = map { tap($_) } $first, $second;
# What is under way to each of the two: [time of arrival, frame].
my @queues = ([], []);

$| = 1;
print "ready\n";

for (;;) {
  my $now = clock_gettime(CLOCK_MONOTONIC);
  my $wait;
  for my $to (0, 1) {
    my $queue = $queues[$to];
    # A frame that the other side does not take, because it is down, is lost.
    syswrite $devices[$to], (shift @$queue)->[1] while @$queue && $queue->[0][0] <= $now;
    my $left = @$queue ? $queue->[0][0] - $now : undef;
    $wait = $left if defined $left && (!defined $wait || $left < $wait);
  }
  my $ready = '';
  vec($ready, fileno $_, 1) = 1 for @devices, \*STDIN;
  next if select($ready, undef, undef, $wait) <= 0;
  exit if vec($ready, fileno STDIN, 1);
  for my $from (0, 1) {
    next unless vec($ready, fileno $devices[$from], 1);
    my $queue = $queues[1 - $from];
    my $arrival = clock_gettime(CLOCK_MONOTONIC) + $milliseconds / 1000;
    for (1 .. 64) {
      last unless sysread $devices[$from], my $frame, MAX_FRAME;
      push @$queue, [$arrival, $frame] if @$queue < QUEUE && rand >= $loss;
    }
  }
}

sub tap {
  my ($name) = @_;
  sysopen my $device, '/dev/net/tun', O_RDWR | O_NONBLOCK or die "/dev/net/tun: $!\n";
  ioctl $device, TUNSETIFF, pack('a16 s x22', $name, IFF_TAP | IFF_NO_PI) or die "$name: $!\n";
  return $device;
}
