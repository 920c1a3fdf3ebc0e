import { Argument, Command } from 'commander'
import { completionScript, SHELLS, type Shell } from '../completion.ts'
import type { CliContext } from '../context.ts'

const HELP = `
Examples:
  source <(gachix completion bash)                                    in ~/.bashrc
  source <(gachix completion zsh)                                     in ~/.zshrc, after compinit
  gachix completion fish > ~/.config/fish/completions/gachix.fish
`

/** `gachix completion bash|zsh|fish`. */
export function completionCommand(context: CliContext, program: Command): Command {
  return new Command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .action(async (shell: Shell) => {
      await context.stdout.write(completionScript(program, shell))
    })
}
