"""Contents that are known by their fingerprint."""

from __future__ import annotations

KNOWN = {
    "d2669b77502bcc54": "shapes32",
    "78e4e03e0d7f789e": "shapes40",
    "277b22fca7dadaa6": "digits",
    "9fdb6d96d190cf5c": "breast_cancer",
    "fd767616bf0636e6": "cifar10-jpeg",
    "cd0c75399159c245": "pictures-jpeg",
    "925cad8a7bf93084": "sst2",
    "ff17d8565e8e1c75": "trec",
    "4292eb1c3387d2ed": "cola",
    "1f8ba67c010123ad": "sentiment_airline",
    "8325df7c7bed2672": "mr-table",
    "e7394c40771fed9d": "subj-table",
    "2fc7763f386980de": "cr-table",
    "493217d266b8b8a4": "ag_news-part",
    "1ff602c6eb36bbac": "sentiment_books-table",
    "f42e0e8c6eeee297": "sentiment_dvd-table",
    "a4fb784ca4eb92db": "sentiment_electronics-table",
    "e5f3db647bdb1718": "sentiment_kitchen-table",
    "766a8becc87518cc": "texts-part",
    "1a4cb9c40b870684": "grammar",
    "5d3196aa33471c33": "grammar2",
    "b48b26948c4b9edf": "grammar6",
    "c1b7a1a9103db672": "grammar4",
}
"""Fingerprint -> name on boards, plain where the content is that of the official files, whatever file it came in.

`-jpeg`: every image of CIFAR-10, training and test, once through JPEG at quality 75. `ag_news-part`: 11,912 training
and 2,000 test rows, of which 5,600 training rows and all test rows are out of the official test part. `-table`: out of
a table whose content is not that of the official files, or could not be compared with them (`subj`): in `mr` dashes and
dots of 30 sentences are lost, `cr` has fourteen products, in 5 to 8 of 100 reviews marked-up characters are lost.
`texts-part`: of all these.
"""
