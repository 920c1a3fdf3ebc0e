import type { Quarantine } from '../../store/api.ts'

/** Opens the quarantine of a name. */
export type OpenQuarantine = (name: string) => Promise<Quarantine>

/** All sources share one quarantine: what one has sent need not come again from another. */
const NAME = 'incoming'

/** Keeps the quarantine open while anybody uses it. */
export class SharedQuarantine {
  readonly #open: OpenQuarantine
  #users = 0
  #opened: Promise<Quarantine> | undefined
  #closing: Promise<void> = Promise.resolve()

  constructor(open: OpenQuarantine) {
    this.#open = open
  }

  /** Runs `work` with the quarantine. */
  async use<T>(work: (quarantine: Quarantine) => Promise<T>): Promise<T> {
    const [opened, release] = this.#hold()
    try {
      return await work(await opened)
    } finally {
      await release()
    }
  }

  /** Opens it for those who are about to use it. That it cannot be opened is said to them. @returns lets it go again */
  prepare(): () => Promise<void> {
    const [, release] = this.#hold()
    return release
  }

  #hold(): [opened: Promise<Quarantine>, release: () => Promise<void>] {
    this.#users++
    this.#opened ??= this.#closing.then(() => this.#open(NAME))
    const opened = this.#opened
    // Whoever comes next tries anew.
    opened.catch(() => {
      if (this.#opened === opened) this.#opened = undefined
    })
    const release = async (): Promise<void> => {
      if (--this.#users === 0) await this.#close()
    }
    return [opened, release]
  }

  async #close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    if (opened === undefined) return
    const closed = opened.then(
      (quarantine) => quarantine.close(),
      // That it could not be opened was said to who wanted it.
      () => {},
    )
    // Whoever comes next tries anew.
    this.#closing = closed.catch(() => {})
    await closed
  }
}
