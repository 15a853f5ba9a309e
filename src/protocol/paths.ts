/** The paths of the public port. */
export const WEBSOCKET_PATH = "/ws";
/** Where the original front end asks for the WebSocket address. */
export const ADDRESS_PATH = "/bcall/url";
/** Whether the worker that took the connection runs. */
export const HEALTH_PATH = "/healthz";
