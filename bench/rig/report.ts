import { mkdirSync, writeFileSync } from 'node:fs';

const results = new URL('../results/', import.meta.url);

export interface Result {
  title: string;
  machine: Record<string, string | number>;
  figures: object[];
  /** Paragraphs and tables, in Markdown. */
  text: string[];
  /** An SVG. */
  plot?: string;
}

/** Writes NAME.json, NAME.md and NAME.svg to bench/results/, and prints the text. */
export function save(name: string, { title, machine, figures, text, plot }: Result): void {
  const on = `Taken on ${machine.date}: ${machine.cores} cores (${machine.cpu}), ${machine.memoryGiB} GiB, Linux ${machine.linux}, Node ${machine.node}, nginx ${machine.nginx}; load average ${machine.loadAtStart} before the run.`;
  const picture = plot ? [`![${title}](${name}.svg)`] : [];
  const page = [`# ${title}`, ...text, ...picture, on, `Made by \`npm run bench -- ${name}\`.`].join('\n\n');
  mkdirSync(results, { recursive: true });
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify({ machine, figures }, null, 2)}\n`);
  writeFileSync(new URL(`${name}.md`, results), `${page}\n`);
  if (plot) writeFileSync(new URL(`${name}.svg`, results), plot);
  console.log(page);
}

export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(head),
    `|${head.map((_, index) => (index === 0 ? '---' : '---:')).join('|')}|`,
    ...rows.map(line),
  ].join('\n');
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
