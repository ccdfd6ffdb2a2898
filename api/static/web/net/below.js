// The path of a host below which the service is served, as the page names it; empty where it has the host to itself.

/**
 * A path of the service as a browser asks for it. An address of elsewhere stays as it is.
 * @param {string} path
 */
export function below(path) {
  return path.startsWith("/") ? (document.documentElement.dataset["below"] ?? "") + path : path;
}
