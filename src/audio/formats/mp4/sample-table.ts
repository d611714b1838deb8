import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import { all, type Box, find } from './boxes.ts';

/** Where the access units of a track lie, in the order of playing. */
export interface UnitTable {
  offsets: Float64Array;
  sizes: Uint32Array;
}

/** A day of the shortest frames at 48 kHz. */
const maxUnits = 4_500_000;
/** An AAC unit has at most 6,144 bits a channel; one of ALAC is at most its samples uncompressed. */
const maxUnitSize = 1024 * 1024;

/**
 * Reads which bytes of the file the track plays: from `stbl` (ISO 14496-12 §8.6, §8.7), and from fragments (§8.8).
 *
 * @throws Finding `truncated` where a unit lies outside the file, `bad_header` where tables disagree
 */
export async function readSampleTable(reader: SourceReader, top: Box[], trak: Box): Promise<UnitTable> {
  const stbl = find(trak, 'mdia', 'minf', 'stbl');
  if (!stbl) throw new Finding('bad_header', 'no stbl box');
  const fragmented = top.some(({ type }) => type === 'moof');
  // What plays first may lie in `stbl` even where fragments follow.
  const first = await readChunks(reader, stbl);
  for (const sidx of top.filter(({ type }) => type === 'sidx')) await expectSegments(reader, sidx);
  const units = fragmented ? await readFragments(reader, top, trak, first) : first;
  if (units.sizes.length === 0) throw new Finding('empty_file', 'no access units');

  for (let i = 0; i < units.sizes.length; i++) {
    const end = units.offsets[i]! + units.sizes[i]!;
    if (end > reader.size) throw new Finding('truncated', reader.size, end);
    if (units.sizes[i]! > maxUnitSize) throw new Finding('bad_header', units.sizes[i]!, maxUnitSize);
  }
  return units;
}

/** A segment index (§8.16.3) says how many bytes follow it, also those of fragments that were cut off. */
async function expectSegments(reader: SourceReader, sidx: Box): Promise<void> {
  const view = await reader.view(sidx.start, sidx.end - sidx.start);
  const wide = view.getUint8(0) !== 0;
  let end = sidx.end + (wide ? Number(view.getBigUint64(20)) : view.getUint32(16));
  const head = wide ? 32 : 24;
  const count = view.getUint16(head - 2);
  for (let i = 0; i < count; i++) end += view.getUint32(head + 12 * i) & 0x7fff_ffff;
  if (end > reader.size) throw new Finding('truncated', reader.size, end);
}

/** The entries of a table, `width` numbers of `bytes` bytes each, behind its version and their count. */
async function readTable(
  reader: SourceReader,
  box: Box | undefined,
  width: number,
  bytes = 4,
): Promise<DataView> {
  if (!box || box.end - box.start < 8) throw new Finding('bad_header', 'a sample table is missing');
  const count = (await reader.view(box.start + 4, 4)).getUint32(0);
  if (count > maxUnits) throw new Finding('too_complex', count, maxUnits);
  const size = count * width * bytes;
  if (box.start + 8 + size > box.end) throw new Finding('bad_header', `${box.type} box of ${count} entries`);
  return reader.view(box.start + 8, size);
}

async function readChunks(reader: SourceReader, stbl: Box): Promise<UnitTable> {
  const sizes = await readSizes(reader, find(stbl, 'stsz'));
  const durations = await readTable(reader, find(stbl, 'stts'), 2);
  let timed = 0;
  for (let at = 0; at < durations.byteLength; at += 8) timed += durations.getUint32(at);
  if (timed !== sizes.length) throw new Finding('bad_header', `${sizes.length} units, ${timed} durations`);

  const large = find(stbl, 'co64');
  const chunks = await readTable(reader, large ?? find(stbl, 'stco'), 1, large ? 8 : 4);
  const chunkCount = chunks.byteLength / (large ? 8 : 4);
  const runs = await readTable(reader, find(stbl, 'stsc'), 3);
  const offsets = new Float64Array(sizes.length);
  let unit = 0;
  for (let run = 0; run < runs.byteLength; run += 12) {
    const next = run + 12 < runs.byteLength ? runs.getUint32(run + 12) - 1 : chunkCount;
    const first = runs.getUint32(run) - 1;
    const perChunk = runs.getUint32(run + 4);
    if (first < 0 || next <= first) throw new Finding('bad_header', `stsc box: chunk ${first + 1}`);
    for (let chunk = first; chunk < Math.min(next, chunkCount) && unit < sizes.length; chunk++) {
      let offset = large ? Number(chunks.getBigUint64(chunk * 8)) : chunks.getUint32(chunk * 4);
      for (let i = 0; i < perChunk && unit < sizes.length; i++) {
        offsets[unit] = offset;
        offset += sizes[unit++]!;
      }
    }
  }
  if (unit < sizes.length) throw new Finding('bad_header', `${sizes.length} units, ${unit} in chunks`);
  return { offsets, sizes };
}

async function readSizes(reader: SourceReader, stsz: Box | undefined): Promise<Uint32Array> {
  if (!stsz || stsz.end - stsz.start < 12) throw new Finding('bad_header', 'no stsz box');
  const head = await reader.view(stsz.start + 4, 8);
  const [same, count] = [head.getUint32(0), head.getUint32(4)];
  if (count > maxUnits) throw new Finding('too_complex', count, maxUnits);
  if (same > 0) return new Uint32Array(count).fill(same);
  if (stsz.start + 12 + count * 4 > stsz.end) throw new Finding('bad_header', `stsz box of ${count} entries`);
  const table = await reader.view(stsz.start + 12, count * 4);
  const sizes = new Uint32Array(count);
  for (let i = 0; i < count; i++) sizes[i] = table.getUint32(i * 4);
  return sizes;
}

const trunDataOffset = 0x1;
const trunFirstFlags = 0x4;
/** Duration, size, flags and composition offset of each sample: four bytes each, where they are there. */
const trunFields = [0x100, 0x200, 0x400, 0x800];
const trunSize = 0x200;

async function readFragments(
  reader: SourceReader,
  top: Box[],
  trak: Box,
  first: UnitTable,
): Promise<UnitTable> {
  const tkhd = find(trak, 'tkhd');
  if (!tkhd) throw new Finding('bad_header', 'no tkhd box');
  const wide = (await reader.view(tkhd.start, 1)).getUint8(0) === 1;
  const id = (await reader.view(tkhd.start + (wide ? 20 : 12), 4)).getUint32(0);
  const extends_ = top.flatMap((box) => all(box, 'mvex')).flatMap((box) => all(box, 'trex'));
  let trackSize = 0;
  for (const trex of extends_) {
    const view = await reader.view(trex.start, 20);
    if (view.getUint32(4) === id) trackSize = view.getUint32(16);
  }

  const offsets = [...first.offsets];
  const sizes = [...first.sizes];
  for (const moof of top.filter(({ type }) => type === 'moof')) {
    for (const traf of all(moof, 'traf')) {
      const head = await readFragmentHead(reader, traf);
      if (head.id !== id) continue;
      let offset = head.base ?? moof.at;
      for (const trun of all(traf, 'trun')) {
        const view = await reader.view(trun.start, trun.end - trun.start);
        const flags = view.getUint32(0) & 0xff_ffff;
        const count = view.getUint32(4);
        const fields = trunFields.filter((field) => flags & field);
        const sizeAt = fields.indexOf(trunSize) * 4;
        let at = 8;
        if (flags & trunDataOffset) {
          offset = (head.base ?? moof.at) + view.getInt32(at);
          at += 4;
        }
        if (flags & trunFirstFlags) at += 4;
        if (at + count * fields.length * 4 > view.byteLength)
          throw new Finding('bad_header', `trun box of ${count} entries`);
        if (sizes.length + count > maxUnits) throw new Finding('too_complex', sizes.length + count, maxUnits);
        for (let i = 0; i < count; i++, at += fields.length * 4) {
          const size = sizeAt < 0 ? (head.size ?? trackSize) : view.getUint32(at + sizeAt);
          offsets.push(offset);
          sizes.push(size);
          offset += size;
        }
      }
    }
  }
  return { offsets: Float64Array.from(offsets), sizes: Uint32Array.from(sizes) };
}

/** The track of a fragment, and what it sets for all of its samples (§8.8.7). */
async function readFragmentHead(
  reader: SourceReader,
  traf: Box,
): Promise<{ id: number; base?: number; size?: number }> {
  const tfhd = find(traf, 'tfhd');
  if (!tfhd) throw new Finding('bad_header', 'no tfhd box');
  const view = await reader.view(tfhd.start, tfhd.end - tfhd.start);
  const flags = view.getUint32(0) & 0xff_ffff;
  let at = 8;
  const base = flags & 0x1 ? Number(view.getBigUint64(at)) : undefined;
  at += (flags & 0x1 ? 8 : 0) + (flags & 0x2 ? 4 : 0) + (flags & 0x8 ? 4 : 0);
  const size = flags & 0x10 ? view.getUint32(at) : undefined;
  return {
    id: view.getUint32(4),
    ...(base === undefined ? {} : { base }),
    ...(size === undefined ? {} : { size }),
  };
}
