import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';

const maxBoxes = 20_000;
const maxDepth = 10;

/** A box (ISO 14496-12 §4.2). All offsets are from the start of the file, in bytes. */
export interface Box {
  type: string;
  /** Offset of the box itself. */
  at: number;
  /** Offset of its content. */
  start: number;
  end: number;
  /** Empty for types that contain no boxes, or none that are needed. */
  children: Box[];
}

const parentTypes = 'moov trak mdia minf stbl udta edts mvex moof traf meta ilst'.split(' ');

/**
 * Reads all boxes of a file, but not their content.
 *
 * @throws Finding `truncated` or `bad_header` for a box that does not fit, `too_complex` for too many
 */
export function readBoxes(reader: SourceReader): Promise<Box[]> {
  let boxes = 0;
  const walk = async (parent: string, start: number, end: number, depth: number): Promise<Box[]> => {
    if (depth > maxDepth) throw new Finding('too_complex', depth, maxDepth);
    const found: Box[] = [];
    let position = start;
    while (position + 8 <= end) {
      if (++boxes > maxBoxes) throw new Finding('too_complex', boxes, maxBoxes);
      const box = await readBox(reader, position, end);
      // A child of `ilst` is a tag. Its type is the tag's name or number.
      if (parentTypes.includes(box.type) || parent === 'ilst') {
        const childrenStart = box.type === 'meta' ? await skipVersion(reader, box) : box.start;
        box.children = await walk(box.type, childrenStart, box.end, depth + 1);
      }
      found.push(box);
      position = box.end;
    }
    return found;
  };
  return walk('', 0, reader.size, 0);
}

async function readBox(reader: SourceReader, position: number, end: number): Promise<Box> {
  const head = await reader.view(position, Math.min(16, end - position));
  const type = String.fromCharCode(...[4, 5, 6, 7].map((at) => head.getUint8(at)));
  // A size of 0 means up to the end. A size of 1 means that the size is in the next 64 bits.
  const size32 = head.getUint32(0);
  const isLarge = size32 === 1 && head.byteLength === 16;
  let size = size32;
  if (size32 === 0) size = end - position;
  if (isLarge) size = Number(head.getBigUint64(8));
  if (position + size > reader.size) throw new Finding('truncated', reader.size, position + size);
  const start = position + (isLarge ? 16 : 8);
  if (position + size > end || position + size < start) {
    throw new Finding('bad_header', `${JSON.stringify(type)} box of ${size} bytes`);
  }
  return { type, at: position, start, end: position + size, children: [] };
}

/** Where the children of a `meta` box start. In MP4 they are behind a version and flags, in QuickTime they are not. */
async function skipVersion(reader: SourceReader, meta: Box): Promise<number> {
  const startsWithChild = meta.end - meta.start >= 8 && (await reader.text(meta.start + 4, 4)) === 'hdlr';
  return startsWithChild ? meta.start : meta.start + 4;
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
