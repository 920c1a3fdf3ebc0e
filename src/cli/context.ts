import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Environment, LoadedConfig, Override } from '../config/parse.ts'
import type { Output } from './output.ts'

/** What a command has of the world around it. */
export interface CliContext {
  /** Results, and nothing but results. */
  readonly stdout: Output
  /** Progress, hints and errors. */
  readonly stderr: NodeJS.WriteStream
  readonly env: Environment
  /** Fires on the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal
}

/** Options of every command. */
export interface GlobalOptions {
  readonly config?: string
  readonly logLevel?: string
  readonly storePath?: string
}

/** Options of commands whose result scripts read. */
export interface JsonOption {
  readonly json?: boolean
}

/**
 * The settings as the command line, the environment and the file give them.
 *
 * @param overrides settings given by options of the command itself
 * @throws ConfigError
 */
export function loadSettings(
  command: Command,
  context: CliContext,
  overrides: readonly Override[] = [],
): LoadedConfig {
  const { config, logLevel, storePath } = command.optsWithGlobals<GlobalOptions>()
  return loadConfig({
    ...(config !== undefined && { file: config }),
    env: context.env,
    overrides: [
      ...override('log_level', logLevel, '--log-level'),
      ...override('store.path', storePath, '--store-path'),
      ...overrides,
    ],
  })
}

/** None or one override, for an option that may be absent. */
export function override(key: string, text: string | undefined, flag: string): Override[] {
  return text === undefined ? [] : [{ key, text, flag }]
}
