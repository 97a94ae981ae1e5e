"""`python -m pinterest_pipeline` is `pinpipe`."""

from pinterest_pipeline.cli import main

if __name__ == "__main__":
    main()
