"""What a folder's name says about what lies in it: a split, masks, a label, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from training.datasets.layouts.labels import normal_form


class Role(Enum):
    TRAIN = "train"
    TEST = "test"
    EXTRA = "validation or calibration"
    UNLABELLED = "a test without labels"
    MASKS = "masks"
    POINTS = "point clouds"
    WRAPPER = "images of whatever the folder around says"
    LABEL = "a label, a variant, or something else"


_WORDS = {
    Role.TRAIN: "train,training,trainset,train set,training set,train data,training data,train images",
    Role.TEST: "test,testing,testset,test set,test data,test images,test public,eval,evaluation",
    Role.EXTRA: "validation,valid,val,validation set,val set,calibration,calib,calibrate,dev",
    Role.UNLABELLED: "test private,test private mixed",
    Role.MASKS: "gt,gts,mask,masks,mask images,segmentation,segmentations,segmentation masks,seg,annotation,"
    "annotations,segmentationclass,label masks,pixel masks,ground truths",
    Role.POINTS: "xyz,pcd,ply,pointcloud,pointclouds,point cloud,point clouds,depth,depth maps",
    Role.WRAPPER: "rgb,image,images,img,imgs,data,dataset,picture,pictures,photo,photos,jpegimages,all",
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split(",")}
_NUMBER = re.compile(r" ?\d+$")  # train2017
_GROUND_TRUTH = re.compile(r"ground ?th?r[a-z]*th")  # spelt in more than one way


@lru_cache(maxsize=10_000)
def role_of(folder: str) -> Role:
    form = normal_form(folder)
    if _GROUND_TRUTH.match(form):
        return Role.MASKS
    role = _ROLES.get(form) or _ROLES.get(_NUMBER.sub("", form), Role.LABEL)
    return role if form in _ROLES or role in (Role.TRAIN, Role.TEST, Role.EXTRA) else Role.LABEL


@dataclass(frozen=True)
class Place:
    """What the folders around a file say together.

    Attributes:
        split: the innermost of those that say one.
        labels: the names that are neither a split nor a wrapper nor masks, outermost first.
        is_mask, is_point_cloud: whether one of the folders says so.
        before_split: the labels that stand outside of the outermost split.
    """

    split: Role | None
    labels: tuple[str, ...]
    is_mask: bool
    is_point_cloud: bool
    before_split: tuple[str, ...]


@lru_cache(maxsize=10_000)
def place_of(folders: tuple[str, ...]) -> Place:
    split: Role | None = None
    labels: list[str] = []
    before: tuple[str, ...] = ()
    roles = [role_of(folder) for folder in folders]
    for folder, role in zip(folders, roles, strict=True):
        if role in (Role.TRAIN, Role.TEST, Role.EXTRA, Role.UNLABELLED):
            if split is None:
                before = tuple(labels)
            split = role
        elif role is Role.LABEL:
            labels.append(folder)
    return Place(split, tuple(labels), Role.MASKS in roles, Role.POINTS in roles, before)
