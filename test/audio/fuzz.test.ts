import t from 'tap';
import { fuzz } from '../fuzz.ts';

t.test('500 damaged files: none breaks the check, none passes with audio missing', async (t) => {
  const { judged, verdicts, wrong } = await fuzz(500, 1);
  t.strictSame(wrong, []);
  t.equal(judged, 500);
  t.ok(verdicts.fail! > 300 && verdicts.pass! > 20, `different verdicts: ${JSON.stringify(verdicts)}`);
});
