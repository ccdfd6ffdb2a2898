// The API's description, shown by Swagger UI. It only reads: requests are made with a key, from a program.

const page = /** @type {{ SwaggerUIBundle: (options: object) => void }} */ (/** @type {unknown} */ (window));

page.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#description",
  deepLinking: true,
  supportedSubmitMethods: [],
  validatorUrl: null,
});
