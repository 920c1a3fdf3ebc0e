/**
 * What we use of Node's HTTP module. Importing `node:http` reads all that it exports, and one of that is a WebSocket, for which Node loads its whole
 * client library: 14 MB of memory, and a part of each start, for what nobody here uses.
 */
export const { Agent, createServer, request } = process.getBuiltinModule('node:http')
