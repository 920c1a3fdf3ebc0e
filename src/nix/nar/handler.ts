/**
 * Receives the contents of a NAR in the order in which it holds them. A NAR is one node; a node is
 *
 * - a directory: `directoryStart`, then for each child `entry` and the child's node, then `directoryEnd`;
 * - a regular file: `fileStart`, any number of `fileData` that add up to `size` bytes, `fileEnd`;
 * - a symlink: `symlink`.
 *
 * What a handler throws ends the reading and reaches whoever pushed the bytes.
 */
export interface NarHandler {
  directoryStart(): void
  /**
   * Names the node that follows. Names are bytes, not necessarily UTF-8; within a directory they come in strictly
   * ascending byte order.
   *
   * @param name 1 to 255 bytes without `/` and NUL, not `.` or `..`; the handler may keep it
   */
  entry(name: Buffer): void
  directoryEnd(): void
  /**
   * @param size length of the contents in bytes, as declared and not yet seen: allocate nothing by it unchecked
   * @param offset position of the first content byte in the NAR, also for an empty file
   */
  fileStart(executable: boolean, size: number, offset: number): void
  /** @param chunk the next contents, at least one byte: a view on the reader's input, valid only during the call */
  fileData(chunk: Uint8Array): void
  fileEnd(): void
  /** @param target 1 to 4095 bytes without NUL; the handler may keep it */
  symlink(target: Buffer): void
}
