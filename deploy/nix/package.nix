# The package. Node runs the sources as they are (it strips the types itself), so nothing is compiled. What the npm package and the image have is
# one bundle (deploy/bundle.ts), which takes 28 MB less memory.
{
  lib,
  stdenvNoCC,
  makeWrapper,
  installShellFiles,
  cacert,
  nodejs_24,
  git,
  openssh,
}:

let
  version = (lib.importJSON ../../package.json).version;

  # What npm installs for the lock file, for production: the same on every system. As a derivation whose content is
  # known it may use the network. test/install/ says what the hash is when the lock file has changed.
  dependencies = stdenvNoCC.mkDerivation {
    pname = "gachix-dependencies";
    inherit version;
    src = lib.fileset.toSource {
      root = ../..;
      fileset = lib.fileset.unions [
        ../../package.json
        ../../package-lock.json
      ];
    };
    nativeBuildInputs = [
      nodejs_24
      cacert
    ];
    buildPhase = ''
      export HOME=$TMPDIR
      npm ci --omit=dev --ignore-scripts --no-audit --no-fund
    '';
    installPhase = ''
      rm node_modules/.package-lock.json
      mkdir $out
      mv node_modules $out/
    '';
    dontFixup = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = "sha256-2dj+hJFBRFdxKXRO/SBlkjFoGJN91Qi5Cr31m4kqkkM=";
  };
in
stdenvNoCC.mkDerivation {
  pname = "gachix";
  inherit version;
  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../package.json
      ../../src
      ../../protocol
      ../gachix.1
      ../config.example.yaml
    ];
  };
  nativeBuildInputs = [
    makeWrapper
    installShellFiles
    nodejs_24
  ];
  dontBuild = true;
  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/gachix $out/share/doc/gachix
    cp -r package.json src protocol $out/lib/gachix/
    ln -s ${dependencies}/node_modules $out/lib/gachix/node_modules
    cp deploy/config.example.yaml $out/share/doc/gachix/
    makeWrapper ${nodejs_24}/bin/node $out/bin/gachix \
      --set-default MALLOC_ARENA_MAX 1 \
      --set-default MALLOC_MMAP_THRESHOLD_ 131072 \
      --add-flags --max-semi-space-size=1 \
      --add-flags $out/lib/gachix/src/cli/main.ts \
      --prefix PATH : ${
        lib.makeBinPath [
          git
          openssh
        ]
      }
    installManPage deploy/gachix.1
    for shell in bash zsh fish; do
      $out/bin/gachix completion $shell > gachix.$shell
      installShellCompletion --cmd gachix --$shell gachix.$shell
    done
    runHook postInstall
  '';
  passthru = { inherit dependencies; };
  meta = {
    description = "A decentralized binary cache for Nix that keeps packages in a Git repository";
    license = lib.licenses.mit;
    mainProgram = "gachix";
    platforms = lib.platforms.linux;
  };
}
