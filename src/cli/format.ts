const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** A number of bytes for people: `0 B`, `1023 B`, `1.5 KiB`, `117 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // Rounded as it will be printed, so that nothing reads "1024 KiB".
  while (unit < UNITS.length - 1 && Math.round(value) >= 1024) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** A time span for people: `0.4 s`, `75 s` as `1 min 15 s`, then hours and days. */
export function formatDuration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min ${whole % 60} s`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** `1 package`, `2 packages`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Rows in aligned columns, two blanks between them. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Lines of `name  value` in two aligned columns; a name before an array heads one line an item. */
export function columns(
  rows: readonly (readonly [name: string, value: string | readonly string[]])[],
): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows
    .flatMap(([name, value]) =>
      (typeof value === 'string' ? [value] : value).map((text, index) =>
        `${(index === 0 ? name : '').padEnd(width)}${text}`.trimEnd(),
      ),
    )
    .join('\n')
}
