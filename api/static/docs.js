// The API's description, shown by Swagger UI. It only reads: requests are made with a key, from a program.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#description",
  deepLinking: true,
  supportedSubmitMethods: [],
  validatorUrl: null,
});
