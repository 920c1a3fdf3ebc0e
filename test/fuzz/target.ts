/** One parser under fuzzing: a file in `targets/` that exports this as `target`. */
export interface FuzzTarget {
  /** Letters, digits and dashes; also the name of the folder that its crashing inputs are kept in. */
  readonly name: string
  /** Sound inputs to start from, the same in every run. */
  seeds(): Buffer[] | Promise<Buffer[]>
  /**
   * Gives the bytes to the parser and checks what it made of them. It may throw a `GachixError` (the input was refused);
   * anything else is a failure, and so is taking more than 10 seconds.
   */
  run(data: Buffer, context: FuzzContext): void | Promise<void>
  /** Byte strings that mean something in the format. */
  readonly tokens?: readonly (string | Uint8Array)[]
  /** Longest input that is made, in bytes; 16 KiB unless given. */
  readonly maxLength?: number
  /** Memory that the process may take beyond what it began with, in MiB; 256 unless given. */
  readonly maxMemory?: number
}

/** What a target may use beside its input. */
export interface FuzzContext {
  /** A folder of its own for files, removed at the end. */
  readonly directory: string
}

export const DEFAULT_MAX_LENGTH = 16 * 1024
export const DEFAULT_MAX_MEMORY = 256
