// The rules for the page's scripts and their tests. They run from the repository's root: see `make lint`.

import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import globals from "globals";
import typescript from "typescript-eslint";

const PAGES = ["api/static/docs.js", "api/static/web/**/*.js"];
const TESTS = "tests/js/**/*.js";

export default defineConfig(
  { ignores: ["**/node_modules/", "api/static/vendor/", "tests/vendor/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: [...PAGES, TESTS],
    extends: [js.configs.recommended, typescript.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: "tests/js/tsconfig.json", tsconfigRootDir: process.cwd() } },
    rules: {
      eqeqeq: "error",
      "no-shadow": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
      // Numbers become text in templates; the pages format numbers for people with `number()`.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // A suppression needs its reason.
      "@typescript-eslint/ban-ts-comment": ["error", { "ts-expect-error": "allow-with-description", minimumDescriptionLength: 10 }],
    },
  },
  { files: PAGES, languageOptions: { globals: globals.browser } },
  {
    files: [TESTS],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
    rules: {
      "@typescript-eslint/no-floating-promises": ["error", { allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: "test" }] }],
    },
  },
);
