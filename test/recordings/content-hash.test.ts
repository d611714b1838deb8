import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { blockBytes } from '../../src/origins/cache/block.ts';
import { ContentHash } from '../../src/recordings/content-hash.ts';
import { pattern } from '../contracts/origin.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const blocksOf = (bytes: Uint8Array) =>
  Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, index) =>
    bytes.subarray(index * blockBytes, (index + 1) * blockBytes),
  );

t.test('the digests are those of the whole and of each block, however the chunks are cut', async (t) => {
  const all = pattern(3 * blockBytes + 5);
  const sizes = fc.constantFrom(0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 2 * blockBytes, all.length);
  const cuts = fc.array(fc.nat(all.length), { maxLength: 6 });
  fc.assert(
    fc.property(sizes, cuts, (size, positions) => {
      const bytes = all.subarray(0, size);
      const hash = new ContentHash();
      const edges = [0, ...positions.filter((at) => at < size).toSorted((a, b) => a - b), size];
      for (const [index, edge] of edges.entries())
        hash.update(bytes.subarray(edge, edges[index + 1] ?? size));
      const blockDigests = blocksOf(bytes).map(sha256).join('');
      const digest = hash.digest();
      return digest.sha256 === sha256(bytes) && digest.blockDigests === blockDigests;
    }),
    { numRuns: 40 },
  );
  t.pass();
});
