import { createHash } from 'node:crypto'

import { Html, html } from './html.ts'

export interface LandingFacts {
  /** Under which the reader reached this node, without trailing slash. */
  readonly url: string
  readonly storeDir: string
  readonly packages: number
  /** `name:base64` each. */
  readonly publicKeys: readonly string[]
  readonly version: string
  /** Whether the repository can be cloned from here. */
  readonly git: boolean
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--paper:#f6f7f9;--card:#fff;--line:#dde2e8;--accent:#2f6fb0}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#9aa7b6;--paper:#12171e;--card:#1a212b;--line:#2c3643;--accent:#7db5ec}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:3rem 1.25rem 2rem}
h1{margin:0;font-size:2.2rem;line-height:1.2;letter-spacing:-.02em}
.lead{margin:.6rem 0 2rem;color:var(--soft);font-size:1.1rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));gap:.75rem;margin:0 0 2rem}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}
h2{margin:2rem 0 .5rem;font-size:1.15rem}
p{margin:.5rem 0}
pre{scrollbar-width:thin;margin:.6rem 0;padding:.9rem 1rem;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-left:.25rem solid var(--accent);border-radius:.4rem;font-size:.875rem;line-height:1.7}
pre:focus-visible,a:focus-visible{outline:.15rem solid var(--accent);outline-offset:.15rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
a{color:var(--accent)}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9rem}
`.replaceAll('\n', '')

/** Headers of the page: nothing but the style above may load or run, and nobody may frame it. */
export const LANDING_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const

/** The page for people who open the cache in a browser. Self-contained, without scripts. */
export function landingPage(facts: LandingFacts): string {
  const keys = facts.publicKeys.join(' ')
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gachix binary cache</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<h1>gachix</h1>
<p class="lead">A binary cache for Nix that keeps its packages in a Git repository.</p>
<dl>
<div><dt>Packages</dt><dd>${facts.packages.toLocaleString('en')}</dd></div>
<div><dt>Store directory</dt><dd>${facts.storeDir}</dd></div>
<div><dt>Version</dt><dd>${facts.version}</dd></div>
</dl>
<h2>Use this cache</h2>
<p>Add to <code>nix.conf</code>, beside the caches that you have:</p>
${block('Lines for nix.conf', configuration(facts))}
<h2>Try it</h2>
<p>Fetch one store path with its closure from here:</p>
${block('Example command', `nix copy --from ${facts.url} ${facts.storeDir}/<hash>-<name>`)}
${facts.git ? clone(facts.url) : ''}<h2>${facts.publicKeys.length > 1 ? 'Public keys' : 'Public key'}</h2>
${keys === '' ? UNSIGNED : block('Public keys', facts.publicKeys.join('\n'))}
<footer><a href="/nix-cache-info">nix-cache-info</a> · <a href="/health">health</a></footer>
</main>
</body>
</html>
`.text
}

const UNSIGNED = html`<p>This node signs nothing itself. Its packages carry the signatures that they came with; trust the keys of those who built them.</p>`

/** How to get the whole repository. */
function clone(url: string): Html {
  return html`<h2>Clone the repository</h2>
<p>Get all packages with their history of references, to serve them from elsewhere:</p>
${block('Command for a mirror', `git clone --mirror ${url}/git`)}
`
}

/** `extra-` keeps the reader's other caches and keys. */
function configuration({ url, publicKeys }: LandingFacts): string {
  const substituters = `extra-substituters = ${url}`
  return publicKeys.length === 0
    ? substituters
    : `${substituters}\nextra-trusted-public-keys = ${publicKeys.join(' ')}`
}

/** Preformatted text that the keyboard can scroll. */
function block(label: string, text: string): Html {
  return html`<pre role="region" aria-label="${label}" tabindex="0"><code>${text}</code></pre>`
}
