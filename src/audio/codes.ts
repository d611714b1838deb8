/**
 * `fail` rejects the recording. `inconclusive` rejects it under the channel policy `strict`. `warn` is only reported.
 * `pass` names what proved the roles.
 */
interface Reason {
  severity: 'fail' | 'warn' | 'inconclusive' | 'pass';
  /** What it means. */
  sentence: string;
  /** How to repair it. */
  repair?: string;
}

/**
 * Every reason that the check can give. The codes are stable, because QA scripts and ingest clients compare them.
 * docs/problems.md has a section for each.
 */
export const codes = {
  // structure: is this a complete file that HubSpot can read?
  empty_file: {
    severity: 'fail',
    sentence: 'The file is empty, or it has a header and no audio.',
    repair: 'Fetch the recording again after the phone system has finished writing it.',
  },
  unsupported_container: {
    severity: 'fail',
    sentence: 'The content is not WAV, FLAC or MP4, whatever the file name says.',
    repair: 'Export the recording as WAV, FLAC or MP4, with one speaker on each channel.',
  },
  extension_mismatch: {
    severity: 'warn',
    sentence: 'The extension of the file name belongs to another format than the content.',
    repair: 'Give the file the extension of its content.',
  },
  unsupported_codec: {
    severity: 'fail',
    sentence: 'HubSpot is not known to read this codec in this container.',
    repair: 'Record as PCM in WAV, as FLAC, or as AAC-LC in MP4.',
  },
  uncommon_codec: {
    severity: 'warn',
    sentence: 'The codec is accepted, but HubSpot does not document it and some players cannot play it.',
    repair: 'Record as 16-bit PCM, FLAC or AAC-LC to be sure.',
  },
  bad_header: {
    severity: 'fail',
    sentence: 'The header contradicts itself, so the audio cannot be read reliably.',
    repair: 'Export the recording again. Do not edit channel counts or sizes in a header by hand.',
  },
  truncated: {
    severity: 'fail',
    sentence: 'The file is incomplete: its end is missing.',
    repair: 'Fetch the recording again once the call has ended and the upload is complete.',
  },
  corrupt_audio: {
    severity: 'fail',
    sentence: 'Part of the audio cannot be decoded.',
    repair: 'Fetch the recording again and compare its size and checksum with the source.',
  },
  too_large: {
    severity: 'fail',
    sentence: 'The recording is longer than the limit of 1.2 billion sample frames.',
    repair: 'Record at 8 or 16 kHz, and check that the recorder stops when the call ends.',
  },
  too_complex: {
    severity: 'fail',
    sentence: 'The check of this file would exceed its limits of time, memory or reads.',
    repair: 'Convert the file, so that it gets a plain header and few tags.',
  },
  no_audio_track: {
    severity: 'fail',
    sentence: 'The file has no audio track.',
    repair: 'Export the audio of the call, not its video, transcript or metadata.',
  },
  multiple_audio_tracks: {
    severity: 'fail',
    sentence: 'The file has more than one audio track. Players and HubSpot use only one.',
    repair: 'Merge the tracks into one track of two channels: caller on channel 1, recipient on channel 2.',
  },
  video_present: {
    severity: 'warn',
    sentence: 'The file has a video track, which a call recording does not need.',
    repair: 'Export only the audio.',
  },
  too_short: {
    severity: 'fail',
    sentence: 'The audio is too short to be a conversation.',
    repair:
      'Do not publish recordings of unanswered calls. Check that recording starts when the call is answered.',
  },
  undecodable: {
    severity: 'warn',
    sentence: 'Playhead could not decode the audio, so the content of the channels was not checked.',
    repair: 'Record as PCM, FLAC or AAC-LC. Playhead can then check the content.',
  },

  // channels: does each hold one speaker?
  mono: {
    severity: 'fail',
    sentence: 'The recording has one channel, so both speakers share it.',
    repair: 'Turn on dual-channel recording in the phone system. A mono mix cannot be separated afterwards.',
  },
  too_many_channels: {
    severity: 'fail',
    sentence: 'The recording has more than two channels.',
    repair: 'Export exactly two channels: caller on channel 1, recipient on channel 2.',
  },
  silent_channel: {
    severity: 'fail',
    sentence: 'One channel has no voice.',
    repair: 'Check that the phone system records both legs of the call, not one leg and an empty channel.',
  },
  no_speech: {
    severity: 'fail',
    sentence: 'Neither channel has a voice.',
    repair: 'Do not publish calls that nobody answered. Check that the recorder receives the media.',
  },
  dual_mono: {
    severity: 'fail',
    sentence: 'Both channels hold the same audio: a mono mix written twice.',
    repair: 'Turn on dual-channel recording in the phone system instead of converting a mono file to stereo.',
  },
  crosstalk: {
    severity: 'fail',
    sentence: 'A speaker is loud on the channel of the other speaker.',
    repair: 'Record each leg before the mixer, and turn on echo cancellation at the gateway.',
  },
  crosstalk_minor: {
    severity: 'warn',
    sentence: 'A speaker is faint on the channel of the other speaker.',
    repair: 'Turn on echo cancellation at the gateway or the handset.',
  },
  channel_count_mismatch: {
    severity: 'fail',
    sentence: 'The file declares different channel counts in different places.',
    repair: 'Export the recording again with an encoder that writes the same channel count everywhere.',
  },
  parametric_stereo: {
    severity: 'warn',
    sentence:
      'The codec (HE-AAC v2) stores one mixed channel and parameters for stereo, so the speakers are not separate.',
    repair: 'Encode as AAC-LC, or turn parametric stereo off.',
  },

  // roles: is the caller, who placed the call, on channel 1?
  swapped_channels: {
    severity: 'fail',
    sentence: 'The caller is on channel 2. HubSpot expects the caller, who placed the call, on channel 1.',
    repair:
      'Swap the two channels and declare the map caller,recipient, or set up the phone system as docs/profiles.md describes.',
  },
  channel_map_contradicted: {
    severity: 'fail',
    sentence:
      'The declared map or a tag puts the caller on channel 1, but ringback is on channel 1. Ringback belongs to the channel of the recipient.',
    repair: 'Find out which leg is on which channel. If the caller is on channel 2, swap the channels.',
  },
  profile_contradicted: {
    severity: 'inconclusive',
    sentence:
      'The source profile puts the caller on channel 1, but ringback is on channel 1. Ringback belongs to the channel of the recipient.',
    repair: 'Check the profile, the direction and the recorded leg, or declare the map for this recording.',
  },
  channel_assignment_unknown: {
    severity: 'inconclusive',
    sentence: 'Nothing proves which channel the caller is on.',
    repair: 'Declare the channel map, name a source profile and the direction, or tag the file.',
  },
  declared_map: { severity: 'pass', sentence: 'The declared map puts the caller on channel 1.' },
  embedded_tags: { severity: 'pass', sentence: 'Tags inside the file put the caller on channel 1.' },
  source_profile: {
    severity: 'pass',
    sentence: 'The source profile and the direction put the caller on channel 1.',
  },
  signal_evidence: { severity: 'pass', sentence: 'Ringback on channel 2 puts the caller on channel 1.' },
} as const satisfies Record<string, Reason>;

export type Code = keyof typeof codes;
