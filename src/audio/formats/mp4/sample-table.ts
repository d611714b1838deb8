import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import { type Box, find } from './boxes.ts';

/** Offset and size in bytes of each access unit of a track, in playing order. */
export interface UnitTable {
  offsets: Float64Array;
  sizes: Uint32Array;
}

/** More than a day of the shortest AAC units at 48 kHz. */
export const maxUnits = 4_500_000;

/**
 * Reads the sample table of a track (ISO 14496-12 §8.6, §8.7).
 *
 * @throws Finding `bad_header` if a table is missing or tables disagree, `too_complex` for too many units
 */
export async function readSampleTable(reader: SourceReader, stbl: Box): Promise<UnitTable> {
  const sizes = await readSizes(reader, find(stbl, 'stsz'));
  const durations = await readTable(reader, find(stbl, 'stts'), 2);
  let durationCount = 0;
  for (let at = 0; at < durations.byteLength; at += 8) durationCount += durations.getUint32(at);
  if (durationCount !== sizes.length) {
    throw new Finding('bad_header', `${sizes.length} units, ${durationCount} durations`);
  }

  const co64 = find(stbl, 'co64');
  const offsetBytes = co64 ? 8 : 4;
  const chunks = await readTable(reader, co64 ?? find(stbl, 'stco'), 1, offsetBytes);
  const chunkCount = chunks.byteLength / offsetBytes;
  // A run of chunks with equally many units: its first chunk, counted from 1, and the units per chunk.
  const runs = await readTable(reader, find(stbl, 'stsc'), 3);
  const offsets = new Float64Array(sizes.length);
  let unit = 0;
  for (let run = 0; run < runs.byteLength; run += 12) {
    const first = runs.getUint32(run) - 1;
    const unitsPerChunk = runs.getUint32(run + 4);
    const next = run + 12 < runs.byteLength ? runs.getUint32(run + 12) - 1 : chunkCount;
    if (first < 0 || next <= first) throw new Finding('bad_header', `stsc box: chunk ${first + 1}`);
    for (let chunk = first; chunk < Math.min(next, chunkCount) && unit < sizes.length; chunk++) {
      let offset = co64 ? Number(chunks.getBigUint64(chunk * 8)) : chunks.getUint32(chunk * 4);
      for (let i = 0; i < unitsPerChunk && unit < sizes.length; i++) {
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
  const [sameSize, count] = [head.getUint32(0), head.getUint32(4)];
  if (count > maxUnits) throw new Finding('too_complex', count, maxUnits);
  if (sameSize > 0) return new Uint32Array(count).fill(sameSize);
  // After the four bytes of `sameSize`, this table is like the others.
  const table = await readTable(reader, { ...stsz, start: stsz.start + 4 }, 1);
  return Uint32Array.from({ length: count }, (_, i) => table.getUint32(i * 4));
}

/**
 * The entries of a table: `numbersPerEntry` numbers of `numberBytes` each. Before the entries, the box has a version,
 * flags and the count of entries.
 */
async function readTable(
  reader: SourceReader,
  box: Box | undefined,
  numbersPerEntry: number,
  numberBytes = 4,
): Promise<DataView> {
  if (!box || box.end - box.start < 8) throw new Finding('bad_header', 'a sample table is missing');
  const count = (await reader.view(box.start + 4, 4)).getUint32(0);
  if (count > maxUnits) throw new Finding('too_complex', count, maxUnits);
  const tableBytes = count * numbersPerEntry * numberBytes;
  if (box.start + 8 + tableBytes > box.end) {
    throw new Finding('bad_header', `${box.type} box of ${count} entries`);
  }
  return reader.view(box.start + 8, tableBytes);
}
