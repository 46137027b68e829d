import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { picture } from '../../docs/first-run/draw.mjs';
import { root } from './markdown.ts';

describe('the picture of the first run', () => {
  const read = (name: string): string => readFileSync(join(root, 'docs/first-run', name), 'utf8');

  it('is drawn from the transcript that lies beside it', () => {
    expect(read('first-run.svg')).to.equal(picture(read('transcript.txt')));
  });

  it('shows the end of a line that was written again, and nobody’s paths', () => {
    const lines =
      'Looking …\r\u001b[2KWaiting …\r\u001b[2KReady <x>\r\n  Token   in /root/.x/credentials\r\n';
    expect(picture(lines))
      .to.include('>Ready &lt;x&gt;<')
      .and.not.include('Waiting')
      .and.not.include('/root');
  });
});
