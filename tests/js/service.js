// A small HTTP server in the place of the service and its object store, for scripts that talk to them.

import { createServer } from "node:http";

/** @typedef {{ method: string, path: string, headers: import("node:http").IncomingHttpHeaders, body: string }} Received */
/** @typedef {{ status?: number, json?: unknown, text?: string, type?: string }} Reply */

/**
 * Start a server that answers each request by `reply`; null breaks the connection off. `fetch` then takes paths, as in a page.
 * @param {(request: Received) => Reply | null | Promise<Reply | null>} reply
 */
export async function startService(reply) {
  /** @type {Received[]} */
  const requests = [];
  const server = createServer((request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    request.on("data", (/** @type {Buffer} */ chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url: path = "", headers } = request;
      const received = { method, path, headers, body: Buffer.concat(chunks).toString() };
      requests.push(received);
      void Promise.resolve(reply(received)).then((answer) => {
        if (!answer) {
          request.socket.destroy();
          return;
        }
        const { status = 200, json, text = JSON.stringify(json), type = "application/json" } = answer;
        response.writeHead(status, { "Content-Type": type });
        response.end(status === 204 ? undefined : text);
      });
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  const url = `http://127.0.0.1:${address.port}`;
  const nodeFetch = globalThis.fetch;
  globalThis.fetch = (target, options) => nodeFetch(typeof target === "string" ? new URL(target, url) : target, options);
  return {
    url,
    requests,
    close() {
      globalThis.fetch = nodeFetch;
      server.closeAllConnections();
      server.close();
    },
  };
}
