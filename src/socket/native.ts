/**
 * The sole import of uWebSockets.js, and the few calls of it that we use. Worker only.
 * Rules that bite (src/README.md facts 10, 11, 17 and 18): buffers become invalid when a callback returns; a closed socket
 * throws on every call; a throw inside `upgrade` aborts the process; at EMFILE the accept loop spins, so the worker stops
 * listening before that. The rules of publishing are in publish.ts.
 */
import uWS from "uWebSockets.js";

export type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from "uWebSockets.js";

// In the binary but not in its types: RFC 6455 fragments, which the tests of catchup/ send through real sockets.
declare module "uWebSockets.js" {
  // Merging needs the same type parameter, used or not.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface WebSocket<UserData> {
    sendFirstFragment(message: Uint8Array, isBinary: boolean): number;
    sendFragment(message: Uint8Array, isBinary: boolean): number;
    sendLastFragment(message: Uint8Array, isBinary: boolean): number;
  }
}

export const createApp = (): uWS.TemplatedApp => uWS.App();
export const closeListenSocket = (token: uWS.us_listen_socket): void => uWS.us_listen_socket_close(token);
