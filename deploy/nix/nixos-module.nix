# services.gachix: a gachix node as a service of NixOS. The unit is that of ../systemd/gachix.service.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    optional
    optionals
    types
    ;

  cfg = config.services.gachix;
  yaml = pkgs.formats.yaml { };
  url = "http://localhost:${toString cfg.port}";
  isStateDirectory = lib.hasPrefix "/var/lib/" cfg.stateDir;

  # Files with secrets by the name under which the service gets them, and the setting that names them.
  secrets = lib.filter (secret: secret.file != null) [
    {
      name = "signing-key";
      file = cfg.signingKeyFile;
      setting = path: { store.sign_private_key_path = path; };
    }
    {
      name = "ssh-key";
      file = cfg.sshKeyFile;
      setting = path: { store.ssh_private_key_path = path; };
    }
    {
      name = "pre-shared-key";
      file = cfg.preSharedKeyFile;
      setting = path: { mesh.pre_shared_key_path = path; };
    }
  ];

  # What the options say, over which the settings go.
  defaults = lib.foldl' lib.recursiveUpdate {
    store.path = "${cfg.stateDir}/cache";
    server.host = if cfg.openFirewall then "0.0.0.0" else "localhost";
    server.port = cfg.port;
    mesh.listen = [ "/ip4/0.0.0.0/tcp/${toString cfg.meshPort}" ];
  } (map (secret: secret.setting "/run/credentials/gachix.service/${secret.name}") secrets);

  settingsFile = yaml.generate "gachix.yaml" (lib.recursiveUpdate defaults cfg.settings);
in
{
  options.services.gachix = {
    enable = mkEnableOption "gachix, a decentralized binary cache for Nix";

    package = mkOption {
      type = types.package;
      default = pkgs.gachix or (pkgs.callPackage ./package.nix { });
      description = "The package to run.";
    };

    settings = mkOption {
      inherit (yaml) type;
      default = { };
      example = {
        store.upstreams = [ "https://cache.nixos.org" ];
        mesh.peers = [ "cache.example.org:4042" ];
      };
      description = ''
        Settings of the node, as in its settings file: config.example.yaml has them all. They win over what the other
        options say.
      '';
    };

    user = mkOption {
      type = types.str;
      default = "gachix";
      description = "User that the node runs as. The user gachix is made when it does not exist.";
    };

    group = mkOption {
      type = types.str;
      default = "gachix";
      description = "Group that the node runs as. The group gachix is made when it does not exist.";
    };

    stateDir = mkOption {
      type = types.path;
      default = "/var/lib/gachix";
      description = "Folder of the repository and of all else that the node keeps.";
    };

    port = mkOption {
      type = types.port;
      default = 8080;
      description = "TCP port on which Nix clients are served.";
    };

    meshPort = mkOption {
      type = types.port;
      default = 4042;
      description = "TCP port on which other nodes can connect.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Serve other machines too: listen on all addresses, and open both ports in the firewall. Without it clients of
        this machine alone are served.
      '';
    };

    signingKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/gachix-signing-key";
      description = ''
        File with the secret key that signs what is served. It is read by systemd and handed to the node, so it may
        belong to root. Without one the node makes a key of its own.
      '';
    };

    sshKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/gachix-ssh-key";
      description = "File with the OpenSSH private key for builders and remotes, read by systemd.";
    };

    preSharedKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/gachix-swarm-key";
      description = "File with the key that all nodes of the mesh share, read by systemd.";
    };

    useAsSubstituter = mkOption {
      type = types.bool;
      default = false;
      description = "Make Nix on this machine ask the node. It takes publicKey.";
    };

    publicKey = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "cache.example.org-1:…";
      description = "Public key of the node, as gachix key show prints it, for useAsSubstituter.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.useAsSubstituter -> cfg.publicKey != null;
        message = "services.gachix.useAsSubstituter takes services.gachix.publicKey: what gachix key show prints";
      }
    ];

    environment.systemPackages = [ cfg.package ];

    users.users = mkIf (cfg.user == "gachix") {
      gachix = {
        isSystemUser = true;
        group = cfg.group;
        home = cfg.stateDir;
      };
    };
    users.groups = mkIf (cfg.group == "gachix") { gachix = { }; };

    networking.firewall.allowedTCPPorts = optionals cfg.openFirewall [
      cfg.port
      cfg.meshPort
    ];

    nix.settings = mkIf cfg.useAsSubstituter {
      substituters = [ url ];
      trusted-public-keys = optional (cfg.publicKey != null) cfg.publicKey;
    };

    systemd.tmpfiles.rules = optional (
      !isStateDirectory
    ) "d ${cfg.stateDir} 0750 ${cfg.user} ${cfg.group} -";

    systemd.services.gachix = {
      description = "gachix, a binary cache for Nix in a Git repository";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ];
      startLimitIntervalSec = 300;
      startLimitBurst = 5;
      # git and ssh are in the package's own path; systemd-notify is not.
      path = [ config.systemd.package ];
      environment = {
        NODE_OPTIONS = "--max-semi-space-size=1";
        MALLOC_ARENA_MAX = "1";
        MALLOC_MMAP_THRESHOLD_ = "131072";
        HOME = cfg.stateDir;
      };
      serviceConfig = {
        Type = "notify";
        NotifyAccess = "all";
        WatchdogSec = 60;
        ExecStart = "${cfg.package}/bin/gachix --config ${settingsFile} serve";
        TimeoutStartSec = "5min";
        KillMode = "mixed";
        TimeoutStopSec = 15;
        Restart = "on-failure";
        RestartSec = 2;
        User = cfg.user;
        Group = cfg.group;
        UMask = "0027";
        WorkingDirectory = cfg.stateDir;
        LimitNOFILE = 65536;
        LoadCredential = map (secret: "${secret.name}:${secret.file}") secrets;
        NoNewPrivileges = true;
        CapabilityBoundingSet = "";
        AmbientCapabilities = "";
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        DevicePolicy = "closed";
        PrivateUsers = true;
        PrivateIPC = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        RemoveIPC = true;
        KeyringMode = "private";
        LockPersonality = true;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources @obsolete"
        ];
        SystemCallErrorNumber = "EPERM";
      }
      // (
        if isStateDirectory then
          {
            StateDirectory = lib.removePrefix "/var/lib/" cfg.stateDir;
            StateDirectoryMode = "0750";
          }
        else
          { ReadWritePaths = [ cfg.stateDir ]; }
      );
    };
  };
}
