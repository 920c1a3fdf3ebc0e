import manifest from '../../package.json' with { type: 'json' }

/** Version of gachix, as in package.json. */
export const VERSION: string = manifest.version
