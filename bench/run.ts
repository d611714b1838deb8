import { readdirSync } from 'node:fs';

/**
 * `npm run bench` runs every bench; `npm run bench -- stream` runs one. Every other file in this folder is a bench:
 * it exports `run`, which writes its figures and the machine to bench/results/.
 */
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && name !== 'run.ts');
const benches = files.map((file) => file.slice(0, -'.ts'.length));

const chosen = process.argv.length > 2 ? process.argv.slice(2) : benches;
const unknown = chosen.find((name) => !benches.includes(name));
if (unknown) {
  console.error(`There is no bench "${unknown}": choose from ${benches.join(', ')}.`);
  process.exit(64);
}
for (const name of chosen) {
  const bench: { run(): Promise<void> } = await import(`./${name}.ts`);
  await bench.run();
}
