/** What tests need to know of Markdown: fenced blocks and tables. */

/** The contents of all fenced blocks of a language, in order. */
export function fencedBlocks(markdown: string, language: string): string[] {
  const blocks = markdown.matchAll(/^```(\S*)\n(.*?)^```$/gms)
  return Array.from(blocks)
    .filter(([, named]) => named === language)
    .map(([, , text]) => text!)
}

/** The rows of all tables whose heading row has exactly these cells. Cells are trimmed; `|` cannot stand in one. */
export function tableRows(markdown: string, heading: readonly string[]): string[][] {
  const rows: string[][] = []
  let inside = false
  for (const line of markdown.split('\n')) {
    const cells = line.startsWith('|') ? line.split('|').slice(1, -1) : []
    const trimmed = cells.map((cell) => cell.trim())
    if (trimmed.length === 0) inside = false
    else if (trimmed.join('|') === heading.join('|')) inside = true
    else if (inside && !trimmed.every((cell) => /^:?-+:?$/.test(cell))) rows.push(trimmed)
  }
  return rows
}

/** The text of a cell that is set as code, or the cell as it is. */
export function plainCell(cell: string): string {
  return cell.replace(/^`(.*)`$/, '$1')
}
