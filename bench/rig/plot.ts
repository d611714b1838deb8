export interface Group {
  label: string;
  values: { label: string; value: number }[];
}

const colours = ['#2f6f4f', '#8fb99f', '#4a6fa5', '#c47f3d', '#7d5a8c', '#999'];
const left = 90;
const width = 640;
const bar = 16;
const gap = 14;

/** Horizontal bars in groups on a logarithmic scale, as a self-contained SVG. `notes` are lines below the bars. */
export function bars(title: string, groups: Group[], notes: string[] = []): string {
  const values = groups.flatMap((group) => group.values.map(({ value }) => value));
  const lowest = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const highest = Math.max(...values);
  const scale = (width - left - 70) / Math.log(highest / lowest);
  const names = groups[0]!.values.map(({ label }) => label);

  const parts = [text(left, 20, title, 'bold')];
  let y = 34;
  for (const [index, name] of names.entries()) {
    parts.push(rect(left, y, 12, 12, colours[index]!), text(left + 18, y + 10, name));
    y += 18;
  }
  for (const group of groups) {
    y += gap;
    parts.push(text(6, y + 12, group.label));
    for (const [index, { value }] of group.values.entries()) {
      const length = Math.max(1, Math.log(value / lowest) * scale);
      parts.push(
        rect(left, y, length, bar - 2, colours[index]!),
        text(left + length + 5, y + 11, value.toFixed(2)),
      );
      y += bar;
    }
  }
  for (const note of notes) {
    y += gap;
    parts.push(text(6, y + 12, note));
  }
  const height = y + 2 * gap;
  const style = 'font: 12px sans-serif';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" style="${style}">
<title>${title}</title>
${rect(0, 0, width, height, '#fff')}
${parts.join('\n')}
</svg>
`;
}

function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${height}" fill="${fill}"/>`;
}

function text(x: number, y: number, words: string, weight = 'normal'): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}">${escaped}</text>`;
}
