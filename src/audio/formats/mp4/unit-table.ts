import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import { type Box, find } from './boxes.ts';
import { checkSegments, readFragments } from './fragments.ts';
import { readSampleTable, type UnitTable } from './sample-table.ts';

/** An AAC unit has at most 6,144 bits per channel; an ALAC unit at most its uncompressed samples. */
const maxUnitBytes = 1024 * 1024;

/**
 * Reads where the access units of a track are, from its sample table and from fragments.
 *
 * @throws Finding `truncated` if a unit is outside the file, `bad_header` if tables disagree
 */
export async function readUnitTable(reader: SourceReader, top: Box[], trak: Box): Promise<UnitTable> {
  const stbl = find(trak, 'mdia', 'minf', 'stbl');
  if (!stbl) throw new Finding('bad_header', 'no stbl box');
  // The first units may be in `stbl` even if fragments follow.
  const first = await readSampleTable(reader, stbl);
  for (const sidx of top.filter(({ type }) => type === 'sidx')) await checkSegments(reader, sidx);
  const fragmented = top.some(({ type }) => type === 'moof');
  const units = fragmented ? await readFragments(reader, top, trak, first) : first;
  if (units.sizes.length === 0) throw new Finding('empty_file', 'no access units');

  for (let i = 0; i < units.sizes.length; i++) {
    const end = units.offsets[i]! + units.sizes[i]!;
    if (end > reader.size) throw new Finding('truncated', reader.size, end);
    if (units.sizes[i]! > maxUnitBytes) throw new Finding('bad_header', units.sizes[i]!, maxUnitBytes);
  }
  return units;
}
