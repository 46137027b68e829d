/** The page of `/ui/`: makes itself where the shell said that it starts, and asks who is there. */
import { render } from 'preact';
import { App } from './app.tsx';
import { followAddresses } from './state/router.ts';
import { begin } from './state/session.ts';

const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  followAddresses();
  render(<App />, root);
  void begin();
}
