# What the module and the flake use of nixpkgs, in little: enough to evaluate them with Nix alone. Types only check.
let
  inherit (builtins)
    all
    attrNames
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isBool
    isInt
    isList
    isString
    listToAttrs
    map
    match
    stringLength
    substring
    ;

  type = name: check: { inherit name check; };

  lib = rec {
    inherit filter foldl';
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    genAttrs = names: make: listToAttrs (map (name: { inherit name; value = make name; }) names);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    removePrefix =
      prefix: text:
      if hasPrefix prefix text then substring (stringLength prefix) (stringLength text) text else text;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
    recursiveUpdate =
      one: other:
      one
      // builtins.mapAttrs (
        name: value:
        if hasAttr name one && isAttrs one.${name} && isAttrs value then
          recursiveUpdate one.${name} value
        else
          value
      ) other;
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkForce = content: { _type = "force"; inherit content; };
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    types = {
      bool = type "boolean" isBool;
      str = type "string" isString;
      package = type "package" (value: isString value || isAttrs value);
      path = type "path" (value: match "/.*" (toString value) != null);
      port = type "port" (value: isInt value && value > 0 && value < 65536);
      nullOr = inner: type "null or ${inner.name}" (value: value == null || inner.check value);
    };
    licenses.mit = "MIT";
    platforms.linux = [ "x86_64-linux" ];
    fileset = {
      unions = files: assert all builtins.pathExists files; files;
      toSource = { root, fileset }: assert builtins.pathExists root; toString root;
    };
  };

  pkgs = {
    system = "x86_64-linux";
    gachix = "/gachix";
    formats.yaml = _: {
      type = lib.types // { name = "YAML value"; check = isAttrs; };
      # In place of a file's name, its content.
      generate = name: value: "/${name}${builtins.toJSON value}";
    };
    stdenvNoCC.mkDerivation = attributes: attributes // { outPath = "/${attributes.pname}"; };
    mkShell = attributes: attributes;
    testers.runNixOSTest = test: test;
    makeWrapper = "/makeWrapper";
    installShellFiles = "/installShellFiles";
    cacert = "/cacert";
    nodejs_24 = "/nodejs";
    git = "/git";
    openssh = "/openssh";
    nix = "/nix";
    callPackage =
      file: overrides:
      let
        function = import file;
        known = pkgs // { inherit lib; };
      in
      function (builtins.intersectAttrs (builtins.functionArgs function) known // overrides);
  };

  # Conditions carried out, what is not asked for left out.
  settle =
    value:
    if isAttrs value && (value._type or "") == "if" then
      (if value.condition then settle value.content else null)
    else if isAttrs value && (value._type or "") == "force" then
      settle value.content
    else if isAttrs value then
      let
        settled = builtins.mapAttrs (_: settle) value;
      in
      builtins.removeAttrs settled (filter (name: settled.${name} == null) (attrNames settled))
    else if isList value then
      map settle value
    else
      value;

  # Options with what is set of them: every option known, documented and of its type.
  evaluate =
    options: set:
    let
      unknown = filter (name: !hasAttr name options) (attrNames set);
      valueOf =
        name: option:
        let
          value = set.${name} or option.default;
        in
        assert option._type == "option";
        assert option ? type && (option.description or "") != "";
        if option.type.check value then value else throw "services.gachix.${name} is no ${option.type.name}";
    in
    if unknown != [ ] then
      throw "services.gachix has no option ${head unknown}"
    else
      builtins.mapAttrs valueOf options;
in
{
  inherit lib pkgs;

  # What the module makes of `services.gachix = set`, and the names of its options.
  module =
    set:
    let
      path = ../../../deploy/nix/nixos-module.nix;
      config = {
        services.gachix = evaluate definition.options.services.gachix set;
        systemd.package = "/systemd";
      };
      definition = import path { inherit config lib pkgs; };
    in
    {
      options = attrNames definition.options.services.gachix;
      config = settle definition.config;
    };

  flake =
    let
      flake = import ../../../deploy/nix/flake.nix;
      self = flake.outputs {
        inherit self;
        nixpkgs = {
          inherit lib;
          legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
        };
      };
    in
    self;
}
