/** What `npm start` and `npm run gachix` give to Node. */
export const NODE_FLAGS = ['--max-semi-space-size=1']
