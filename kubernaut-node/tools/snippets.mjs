// Writes each JavaScript snippet of a README as a program: snippets.mjs README FOLDER.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [readme, folder] = process.argv.slice(2);
const snippets = [...readFileSync(readme, "utf8").matchAll(/```js\n([\s\S]*?)```/g)].map((found) => found[1]);
if (snippets.length === 0) throw new Error(`${readme} has no snippets`);
snippets.forEach((text, number) => writeFileSync(join(folder, `snippet-${number}.mjs`), text));
