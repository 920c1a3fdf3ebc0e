# nix run 'git+https://…/gachix?dir=deploy/nix' -- serve
{
  description = "A decentralized binary cache for Nix that keeps packages in a Git repository";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAllSystems =
        make: nixpkgs.lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAllSystems (
        _: pkgs: rec {
          gachix = pkgs.callPackage ./package.nix { };
          default = gachix;
        }
      );

      apps = forAllSystems (
        system: _: {
          default = {
            type = "app";
            program = "${self.packages.${system}.default}/bin/gachix";
          };
        }
      );

      devShells = forAllSystems (
        _: pkgs: {
          # All that npm test needs beside what npm installs.
          default = pkgs.mkShell {
            packages = [
              pkgs.nodejs_24
              pkgs.git
              pkgs.openssh
              pkgs.nix
            ];
          };
        }
      );

      overlays.default = final: _: { gachix = final.callPackage ./package.nix { }; };

      nixosModules.default = {
        imports = [ ./nixos-module.nix ];
        nixpkgs.overlays = [ self.overlays.default ];
      };

      checks = forAllSystems (
        _: pkgs: {
          mesh = pkgs.testers.runNixOSTest (
            import ./vm-test.nix {
              gachix = self.nixosModules.default;
              inherit (nixpkgs) lib;
            }
          );
        }
      );
    };
}
