import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import { all, type Box, find } from './boxes.ts';
import { maxUnits, type UnitTable } from './sample-table.ts';

/** Flags of a `tfhd` box: the fields that it has (ISO 14496-12 §8.8.7). */
const hasBase = 0x1;
const hasDescription = 0x2;
const hasDuration = 0x8;
const hasUnitBytes = 0x10;

/** Flags of a `trun` box: the fields that it has (ISO 14496-12 §8.8.8). */
const hasDataOffset = 0x1;
const hasFirstFlags = 0x4;
/** The same for the fields of each entry: duration, size, flags, composition offset. Each field has four bytes. */
const entryFields = [0x100, 0x200, 0x400, 0x800];
const hasSizes = 0x200;

/** What a `tfhd` box sets for all units of a fragment. */
interface FragmentHeader {
  trackId: number;
  /** Data offsets count from here; undefined if they count from the `moof` box. */
  base: number | undefined;
  /** Size of units whose size is not in their run; undefined if it is that of the track. */
  unitBytes: number | undefined;
}

/**
 * Checks that the fragments behind a segment index (ISO 14496-12 §8.16.3) are all there. It declares their sizes, even
 * of those that were cut off.
 *
 * @throws Finding `truncated` if they are not
 */
export async function checkSegments(reader: SourceReader, sidx: Box): Promise<void> {
  const view = await reader.view(sidx.start, sidx.end - sidx.start);
  const isWide = view.getUint8(0) !== 0;
  let end = sidx.end + (isWide ? Number(view.getBigUint64(20)) : view.getUint32(16));
  const entriesOffset = isWide ? 32 : 24;
  const count = view.getUint16(entriesOffset - 2);
  // An entry has 12 bytes: one bit of type, 31 bits of size, and two more fields.
  for (let i = 0; i < count; i++) end += view.getUint32(entriesOffset + 12 * i) & 0x7fff_ffff;
  if (end > reader.size) throw new Finding('truncated', reader.size, end);
}

/**
 * Appends the access units of a track's fragments (ISO 14496-12 §8.8) to those of its sample table.
 *
 * @throws Finding `bad_header` if a box is missing or too short, `too_complex` for too many units
 */
export async function readFragments(
  reader: SourceReader,
  top: Box[],
  trak: Box,
  first: UnitTable,
): Promise<UnitTable> {
  const trackId = await readTrackId(reader, trak);
  const trackUnitBytes = await readTrackUnitBytes(reader, top, trackId);
  const offsets = [...first.offsets];
  const sizes = [...first.sizes];
  for (const moof of top.filter(({ type }) => type === 'moof')) {
    for (const traf of all(moof, 'traf')) {
      const header = await readFragmentHeader(reader, traf);
      if (header.trackId !== trackId) continue;
      const base = header.base ?? moof.at;
      let offset = base;
      for (const trun of all(traf, 'trun')) {
        const { dataOffset, count, sizeOf } = await readRun(reader, trun, header.unitBytes ?? trackUnitBytes);
        if (sizes.length + count > maxUnits) throw new Finding('too_complex', sizes.length + count, maxUnits);
        if (dataOffset !== undefined) offset = base + dataOffset;
        for (let i = 0; i < count; i++) {
          offsets.push(offset);
          sizes.push(sizeOf(i));
          offset += sizeOf(i);
        }
      }
    }
  }
  return { offsets: Float64Array.from(offsets), sizes: Uint32Array.from(sizes) };
}

async function readTrackId(reader: SourceReader, trak: Box): Promise<number> {
  const tkhd = find(trak, 'tkhd');
  if (!tkhd) throw new Finding('bad_header', 'no tkhd box');
  const isWide = (await reader.view(tkhd.start, 1)).getUint8(0) === 1;
  return (await reader.view(tkhd.start + (isWide ? 20 : 12), 4)).getUint32(0);
}

/** Size of units whose size is in no fragment: the track sets it (`trex`, ISO 14496-12 §8.8.3). */
async function readTrackUnitBytes(reader: SourceReader, top: Box[], trackId: number): Promise<number> {
  let unitBytes = 0;
  for (const trex of top.flatMap((box) => all(box, 'mvex')).flatMap((box) => all(box, 'trex'))) {
    const view = await reader.view(trex.start, 20);
    if (view.getUint32(4) === trackId) unitBytes = view.getUint32(16);
  }
  return unitBytes;
}

async function readFragmentHeader(reader: SourceReader, traf: Box): Promise<FragmentHeader> {
  const tfhd = find(traf, 'tfhd');
  if (!tfhd) throw new Finding('bad_header', 'no tfhd box');
  const view = await reader.view(tfhd.start, tfhd.end - tfhd.start);
  const flags = view.getUint32(0) & 0xff_ffff;
  let at = 8;
  const base = flags & hasBase ? Number(view.getBigUint64(at)) : undefined;
  at += (flags & hasBase ? 8 : 0) + (flags & hasDescription ? 4 : 0) + (flags & hasDuration ? 4 : 0);
  const unitBytes = flags & hasUnitBytes ? view.getUint32(at) : undefined;
  return { trackId: view.getUint32(4), base, unitBytes };
}

/** A run of units in one `trun` box. */
interface Run {
  /** Offset of its first unit from the base; undefined if it follows the previous run. */
  dataOffset: number | undefined;
  count: number;
  sizeOf(unit: number): number;
}

async function readRun(reader: SourceReader, trun: Box, unitBytes: number): Promise<Run> {
  const view = await reader.view(trun.start, trun.end - trun.start);
  const flags = view.getUint32(0) & 0xff_ffff;
  const count = view.getUint32(4);
  const dataOffset = flags & hasDataOffset ? view.getInt32(8) : undefined;
  const entriesOffset = 8 + (flags & hasDataOffset ? 4 : 0) + (flags & hasFirstFlags ? 4 : 0);
  const fields = entryFields.filter((field) => flags & field);
  const entryBytes = fields.length * 4;
  if (entriesOffset + count * entryBytes > view.byteLength) {
    throw new Finding('bad_header', `trun box of ${count} entries`);
  }
  const firstSizeOffset = entriesOffset + fields.indexOf(hasSizes) * 4;
  const sizeOf = (unit: number) =>
    flags & hasSizes ? view.getUint32(firstSizeOffset + unit * entryBytes) : unitBytes;
  return { dataOffset, count, sizeOf };
}
