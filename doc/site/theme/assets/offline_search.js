// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Search without a server: a page from the disk may neither fetch the index nor start a worker. So the index comes as a
// script, and what the worker would do happens in a frame.

const root = new URL("..", document.currentScript.src);

var __search = {
    index: new Promise((resolve, reject) => {
        window.__search_index = resolve;
        const script = document.createElement("script");
        script.src = new URL("search/search_index.js", root);
        script.onerror = reject;
        document.head.appendChild(script);
    }),
};

if (location.protocol === "file:") {
    window.Worker = class extends EventTarget {
        constructor(source) {
            super();
            const frame = document.createElement("iframe");
            frame.hidden = true;
            frame.title = "Search";
            document.body.appendChild(frame);
            this.scope = frame.contentWindow;
            // The worker's own window is where it listens; what it posts is for this side.
            this.scope.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
            this.ready = new Promise(resolve => {
                const script = frame.contentDocument.createElement("script");
                script.src = new URL(source, location.href);
                script.onload = resolve;
                frame.contentDocument.body.appendChild(script);
            });
        }

        postMessage(data) {
            this.ready.then(() => this.scope.dispatchEvent(new this.scope.MessageEvent("message", { data })));
        }
    };
}
