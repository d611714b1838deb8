import t from 'tap';
import { codes } from '../../src/audio/codes.ts';

for (const [code, reason] of Object.entries(codes)) {
  t.test(`${code}: ${reason.severity}, in whole sentences`, async (t) => {
    t.match(code, /^[a-z]+(_[a-z]+)*$/);
    t.match(reason.sentence, /^[A-Z].*\.$/);
    t.equal('repair' in reason, reason.severity !== 'pass', 'a repair unless it is a pass');
    if ('repair' in reason) t.match(reason.repair, /^[A-Z].*\.$/);
  });
}
