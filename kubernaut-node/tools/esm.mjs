// The ES modules are the CommonJS ones under other names, so that a program which mixes both has one engine and one set of error classes.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
mkdirSync(new URL("../esm/", import.meta.url), { recursive: true });
for (const name of ["index", "testing"]) {
  const names = Object.keys(require(`../dist/${name}.js`)).filter((key) => key !== "__esModule");
  const text = `import all from "../dist/${name}.js";\n\nexport const { ${names.join(", ")} } = all;\n`;
  writeFileSync(new URL(`../esm/${name}.mjs`, import.meta.url), text);
  writeFileSync(new URL(`../esm/${name}.d.mts`, import.meta.url), `export * from "../dist/${name}.js";\n`);
}
