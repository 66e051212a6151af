"""This project's loop alone, with the training data left on the disk: --data=stream."""

import project_bare

if __name__ == "__main__":
    project_bare.main(data="stream")
