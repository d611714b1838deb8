import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';

const maxBoxes = 20_000;
const maxDepth = 10;

/** A box (ISO 14496-12 §4.2). It starts at `at`; its content is from `start` to `end`. */
export interface Box {
  type: string;
  at: number;
  start: number;
  end: number;
  children: Box[];
}

const parentTypes = 'moov trak mdia minf stbl udta edts mvex moof traf meta ilst'.split(' ');

/**
 * Reads the boxes of a file. Those of its index have their children.
 *
 * @throws Finding `truncated` or `bad_header` for a box that does not fit, `too_complex` for too many
 */
export function readBoxes(reader: SourceReader): Promise<Box[]> {
  let boxes = 0;
  const walk = async (parent: string, start: number, end: number, depth: number): Promise<Box[]> => {
    if (depth > maxDepth) throw new Finding('too_complex', depth, maxDepth);
    const found: Box[] = [];
    for (let position = start; position + 8 <= end; position = found.at(-1)!.end) {
      if (++boxes > maxBoxes) throw new Finding('too_complex', boxes, maxBoxes);
      const box = await readBox(reader, position, end);
      if (parentTypes.includes(box.type) || parent === 'ilst') {
        const inside = box.type === 'meta' ? await skipVersion(reader, box) : box.start;
        box.children = await walk(box.type, inside, box.end, depth + 1);
      }
      found.push(box);
    }
    return found;
  };
  return walk('', 0, reader.size, 0);
}

async function readBox(reader: SourceReader, position: number, end: number): Promise<Box> {
  const head = await reader.view(position, Math.min(16, end - position));
  const type = String.fromCharCode(...[4, 5, 6, 7].map((at) => head.getUint8(at)));
  const short = head.getUint32(0);
  const large = short === 1 && head.byteLength === 16;
  const size = large ? Number(head.getBigUint64(8)) : short === 0 ? end - position : short;
  if (position + size > reader.size) throw new Finding('truncated', reader.size, position + size);
  const start = position + (large ? 16 : 8);
  if (position + size > end || position + size < start) {
    throw new Finding('bad_header', `${JSON.stringify(type)} box of ${size} bytes`);
  }
  return { type, at: position, start, end: position + size, children: [] };
}

/** In MP4 a `meta` box has version and flags before its children; in QuickTime it has none. */
async function skipVersion(reader: SourceReader, meta: Box): Promise<number> {
  const bare = meta.end - meta.start >= 8 && (await reader.text(meta.start + 4, 4)) === 'hdlr';
  return bare ? meta.start : meta.start + 4;
}

/** The first box at a path below `box`. */
export function find(box: Box, ...path: string[]): Box | undefined {
  let found: Box | undefined = box;
  for (const step of path) found = found?.children.find(({ type }) => type === step);
  return found;
}

/** The children of `box` of one type. */
export function all(box: Box, type: string): Box[] {
  return box.children.filter((child) => child.type === type);
}
