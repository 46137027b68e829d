import { Component, type ComponentChildren } from 'preact';

interface Props {
  children: ComponentChildren;
}

/** A screen that fails says so, and leaves the others to be gone to. */
export class Guarded extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static override getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div class="fault" role="alert">
        <h1>This screen failed</h1>
        <p>
          That is a fault of the page. Reload it, or go to another screen; the command line shows the same.
        </p>
      </div>
    );
  }
}
