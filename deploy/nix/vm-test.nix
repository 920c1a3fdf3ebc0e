# Two nodes of a mesh and a client, each in a virtual machine: what one learns, the other serves.
# nix flake check, in this folder, on a machine that can run virtual machines for it.
{ gachix, lib }:

let
  # Under /tmp/shared the machines of a test see the same folder. Both nodes sign with one key, so that each believes what
  # the other has signed.
  key = "/tmp/shared/gachix.secret";
  node = settings: {
    imports = [ gachix ];
    services.gachix = {
      enable = true;
      openFirewall = true;
      signingKeyFile = key;
      inherit settings;
    };
    # Started once the key is there.
    systemd.services.gachix.wantedBy = lib.mkForce [ ];
  };
in
{
  name = "gachix-mesh";

  nodes = {
    one = node { };
    two = node {
      store.use_local_nix_daemon = false;
      mesh.peers = [ "one:4042" ];
    };
    client = { };
  };

  testScript = ''
    start_all()
    public_key = one.succeed("gachix key generate --name mesh.test-1 --out ${key}").strip()
    for machine in [one, two]:
        machine.succeed("systemctl start gachix")
        machine.wait_for_open_port(8080)

    as_node = "setpriv --reuid gachix --regid gachix --clear-groups env -C /var/lib/gachix HOME=/var/lib/gachix"
    one.succeed("echo hello > /tmp/hello")
    path = one.succeed("nix-store --add /tmp/hello").strip()
    one.succeed(f"{as_node} gachix add {path}")

    client.wait_until_succeeds(f"curl -sf http://two:8080/{path[11:43]}.narinfo")
    client.succeed(
        "nix --extra-experimental-features nix-command copy --from http://two:8080 "
        f"--option trusted-public-keys '{public_key}' {path}"
    )
    assert client.succeed(f"cat {path}") == "hello\n"

    two.succeed("systemctl stop gachix")
    two.succeed("test $(systemctl show -P Result gachix) = success")
  '';
}
