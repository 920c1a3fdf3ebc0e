# The benchmark's own packages: one for each folder in ./packages beside this file (`own-packages.ts` fills them with
# files of the machine), built by the real Nix without nixpkgs. A package refers to some of those before it.
let
  inherit (builtins) attrNames attrValues concatStringsSep elemAt filter genList length readDir;

  names = attrNames (readDir ./packages);
  # An element of a list refers to itself as little as a package does: positions are smaller than `index`.
  earlier = index: filter (position: position >= 0) [ (index - 1) (index / 2 - 1) (index / 5 - 1) ];

  make = name: script: variables: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-ec" script ];
    PATH = "/usr/local/bin:/usr/bin:/bin";
    LC_ALL = "C";
  } // variables);

  packages = genList
    (index: make "${elemAt names index}-1.0" ''
      cp -R "$src" $out
      chmod -R u+w $out
      printf '%s\n' $others > $out/references
    '' {
      src = ./packages + "/${elemAt names index}";
      others = map (elemAt packages) (earlier index);
    })
    (length names);
in {
  everything = make "bench-everything" ''printf '%s\n' $others > $out'' { others = packages; };
}
