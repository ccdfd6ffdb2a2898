// The reason why the page cannot work on a file, with advice in the reader's language.

export class Unusable extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {{ serviceMayShow?: boolean }} [options]
   */
  constructor(title, detail, { serviceMayShow = false } = {}) {
    super(detail);
    this.title = title;
    /** Whether the service may show a file that the browser cannot show. */
    this.serviceMayShow = serviceMayShow;
  }
}
