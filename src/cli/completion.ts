/**
 * Completion scripts for shells, written from the command tree. They complete without starting the program (which takes
 * a tenth of a second for each press of the key), and leave paths to the shell.
 */
import type { Argument, Command, Option } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What may stand where a value is expected. */
type ValueKind = 'file' | 'directory' | 'any' | readonly string[]

interface OptionNode {
  /** `--config`, `-c`. */
  readonly names: readonly string[]
  readonly description: string
  /** Absent for a switch. */
  readonly value?: ValueKind
}

interface CommandNode {
  /** Names below the program, for instance `['key', 'show']`. */
  readonly path: readonly string[]
  readonly description: string
  readonly options: readonly OptionNode[]
  /** Kind of the positional arguments, absent when there are none. */
  readonly argument?: ValueKind
  readonly children: readonly CommandNode[]
}

/** The completion script of the program for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const name = program.name()
  const root = describe(program, [])
  const all = flatten(root)
  switch (shell) {
    case 'bash':
      return bashScript(name, all)
    case 'zsh':
      return zshScript(name, all)
    case 'fish':
      return fishScript(name, root, all)
  }
}

function describe(command: Command, path: readonly string[]): CommandNode {
  const help = command.createHelp()
  const children = help
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help')
    .map((child) => describe(child, [...path, child.name()]))
  const [argument] = command.registeredArguments
  const options = help
    .visibleOptions(command)
    .concat(path.length > 0 ? help.visibleGlobalOptions(command) : [])
  return {
    path,
    description: command.description(),
    options: options.map(describeOption),
    ...(argument !== undefined && { argument: kindOf(argument, argument.name()) }),
    children,
  }
}

function describeOption(option: Option): OptionNode {
  const value = option.flags.match(/[<[](.+)[>\]]/)?.[1]
  return {
    names: [option.long, option.short].filter((name) => name !== undefined),
    description: option.description,
    ...(value !== undefined && { value: kindOf(option, value) }),
  }
}

function kindOf({ argChoices }: Option | Argument, name: string): ValueKind {
  if (argChoices !== undefined) return argChoices
  if (name === 'dir') return 'directory'
  return name === 'file' || name === 'path' ? 'file' : 'any'
}

function flatten(node: CommandNode): CommandNode[] {
  return [node, ...node.children.flatMap(flatten)]
}

/** Single-quoted for any of the shells' purposes here: our own descriptions, without control characters. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function functionName(name: string): string {
  return `_${name.replace(/\W/g, '_')}`
}

function optionNames(nodes: readonly CommandNode[], kind: (value: ValueKind) => boolean): string[] {
  const options = nodes.flatMap((node) => node.options)
  return [
    ...new Set(
      options.filter(({ value }) => value !== undefined && kind(value)).flatMap(({ names }) => names),
    ),
  ]
}

/** A `case` line that sends the options whose value is of a kind to an action. */
function caseLine(names: readonly string[], action: string): string {
  return names.length === 0 ? '' : `    ${names.join('|')}) ${action}; return ;;\n`
}

function bashScript(name: string, nodes: readonly CommandNode[]): string {
  const fn = functionName(name)
  const reply = (what: string) => `mapfile -t COMPREPLY < <(${what} -- "$current")`
  const paths = (kind: 'file' | 'directory') =>
    `compopt -o filenames 2>/dev/null; ${reply(kind === 'file' ? 'compgen -f' : 'compgen -d')}`
  const words = (list: readonly string[]) => reply(`compgen -W ${quote(list.join(' '))}`)
  const choiceLines = nodes
    .flatMap(({ options }) => options)
    .filter(({ value }) => Array.isArray(value))
    .map(({ names, value }) => caseLine(names, words(value as string[])))
  const cases = nodes.map(({ path, options, children, argument }) => {
    const names = words(options.flatMap((option) => option.names))
    let others = ':'
    if (children.length > 0) others = words(children.map((child) => child.path.at(-1)!))
    else if (Array.isArray(argument)) others = words(argument)
    else if (argument === 'file' || argument === 'directory') others = paths(argument)
    return `    ${quote(path.join(' '))}) if [[ $current == -* ]]; then ${names}; else ${others}; fi ;;\n`
  })
  const commands = nodes.filter(({ path }) => path.length > 0).map(({ path }) => quote(path.join(' ')))
  return `# bash completion for ${name}
${fn}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command='' word
  COMPREPLY=()
  case $previous in
${caseLine(
  optionNames(nodes, (kind) => kind === 'file'),
  paths('file'),
)}${caseLine(
  optionNames(nodes, (kind) => kind === 'directory'),
  paths('directory'),
)}${[...new Set(choiceLines)].join('')}${caseLine(
  optionNames(nodes, (kind) => kind === 'any'),
  ':',
)}  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${command:+$command }$word" in
    ${commands.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case $command in
${cases.join('')}  esac
}
complete -F ${fn} ${name}
`
}

function zshScript(name: string, nodes: readonly CommandNode[]): string {
  const fn = functionName(name)
  const nodeFunction = (path: readonly string[]) => [fn, ...path].join('_').replaceAll('-', '_')
  const actions = (kind: ValueKind): string => {
    if (kind === 'file') return ':file:_files'
    if (kind === 'directory') return ':directory:_files -/'
    return kind === 'any' ? ':value: ' : `:value:(${kind.join(' ')})`
  }
  const describeForZsh = (text: string) => text.replace(/[[\]:\\]/g, '\\$&')
  const functions = nodes.map(({ path, options, argument, children }) => {
    const specs = options.map(({ names, description, value }) => {
      const spec = `[${describeForZsh(description)}]${value === undefined ? '' : actions(value)}`
      const [first] = names
      const body = quote(spec)
      return names.length === 1
        ? `${first}${body}`
        : `${quote(`(${names.join(' ')})`)}{${names.join(',')}}${body}`
    })
    if (argument !== undefined) specs.push(quote(`*${actions(argument)}`))
    if (children.length > 0) specs.push(quote('1: :->command'), quote('*:: :->arguments'))
    const list = children.map(
      (child) => `      ${quote(`${child.path.at(-1)}:${describeForZsh(child.description)}`)}\n`,
    )
    const calls = children.map((child) => `      ${child.path.at(-1)}) ${nodeFunction(child.path)} ;;\n`)
    const dispatch = `  case $state in
  command)
    local -a commands=(
${list.join('')}    )
    _describe command commands ;;
  arguments)
    case $words[1] in
${calls.join('')}    esac ;;
  esac
`
    return `${nodeFunction(path)}() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
    ${specs.join(' \\\n    ')}
${children.length > 0 ? dispatch : ''}}
`
  })
  return `#compdef ${name}
# zsh completion for ${name}
${functions.join('\n')}
if [[ $funcstack[1] == ${fn} ]]; then
  ${fn} "$@"
else
  compdef ${fn} ${name}
fi
`
}

function fishScript(name: string, root: CommandNode, nodes: readonly CommandNode[]): string {
  const quoteForFish = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`
  const values = (kind: ValueKind | undefined): string => {
    if (kind === undefined) return ''
    if (kind === 'file') return ' -r -F'
    if (kind === 'directory') return " -x -a '(__fish_complete_directories)'"
    return kind === 'any' ? ' -x' : ` -x -a ${quoteForFish(kind.join(' '))}`
  }
  const seen = (word: string) => `__fish_seen_subcommand_from ${word}`
  const lines = nodes.flatMap(({ path, options, argument, children }) => {
    const below = children.map((child) => child.path.at(-1)!)
    const conditions = path.map(seen)
    if (below.length > 0) conditions.push(`not ${seen(below.join(' '))}`)
    const start = `complete -c ${name} -n ${quoteForFish(conditions.join('; and '))}`
    // Options of the program are completed everywhere, once.
    const own = path.length === 0 ? [] : options.filter((option) => !isAmong(root.options, option))
    return [
      ...children.map((child) => `${start} -a ${child.path.at(-1)} -d ${quoteForFish(child.description)}`),
      ...own.map((option) => `${start}${fishOption(option)}${values(option.value)}`),
      ...(argument === undefined || argument === 'any'
        ? []
        : [`${start}${values(argument).replace(' -r', '')}`]),
    ]
  })
  const globals = root.options.map(
    (option) => `complete -c ${name}${fishOption(option)}${values(option.value)}`,
  )
  return `# fish completion for ${name}
complete -c ${name} -f
${[...globals, ...lines].join('\n')}
`

  function fishOption({ names, description }: OptionNode): string {
    const flags = names.map((flag) =>
      flag.startsWith('--') ? ` -l ${flag.slice(2)}` : ` -s ${flag.slice(1)}`,
    )
    return `${flags.join('')} -d ${quoteForFish(description)}`
  }
}

function isAmong(options: readonly OptionNode[], { names }: OptionNode): boolean {
  return options.some((option) => option.names[0] === names[0])
}
