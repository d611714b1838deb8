import type { Report } from '../../audio/report.ts';
import type { Rule } from '../requirement.ts';

/** The result of the channel check, with its codes and repairs. */
export const audioRules: Rule<Report>[] = [
  {
    id: 'audio-format',
    title: 'Its content is WAV, FLAC or MP4',
    repair: 'Export the recording as WAV, FLAC or MP4.',
    test: ({ audio }) => [
      audio.container !== undefined,
      [audio.container ?? 'another format', audio.codec].filter(Boolean).join(', '),
    ],
  },
  {
    id: 'audio-channels',
    title: 'It can be transcribed: the caller alone on channel 1, the recipient alone on channel 2',
    repair: 'Record with one speaker per channel.',
    test({ verdict, codes, repairs }) {
      const met = verdict === 'inconclusive' ? 'unknown' : verdict === 'pass';
      const [repair] = Object.values(repairs);
      return repair === undefined ? [met, codes.join(', ')] : [met, codes.join(', '), repair];
    },
  },
];
