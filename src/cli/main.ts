#!/usr/bin/env node
/**
 * The `gachix` command. Everything else is loaded only once Node is known to be new enough: on an old one the modules
 * themselves fail to load, with messages that say nothing.
 */
const OLDEST_NODE = 24

if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  process.stderr.write(
    `gachix: Node.js ${OLDEST_NODE} or newer is needed, this is ${process.versions.node}; the npm package "node" brings one [ERR_NODE_VERSION]\n`,
  )
  process.exitCode = 1
} else {
  const { runProcess } = await import('./run.ts')
  await runProcess()
}

export {}
