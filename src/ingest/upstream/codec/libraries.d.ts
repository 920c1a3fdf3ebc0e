/** The parts of libraries without types that are used here. */
declare module 'seek-bzip' {
  interface ByteStream {
    readByte(): number
    writeByte(byte: number): void
  }
  const Bunzip: {
    readonly Stream: new () => ByteStream
    /** Decodes until `input.eof()`, all streams of the input when `multistream` is set. */
    decode(input: ByteStream & { eof(): boolean }, output: ByteStream, multistream: boolean): void
  }
  export default Bunzip
}
